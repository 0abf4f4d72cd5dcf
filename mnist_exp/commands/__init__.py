"""The sub-commands, one module each; `train` is what runs when none is named."""
