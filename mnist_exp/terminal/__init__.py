"""Output to a terminal: messages, tables, images and curves made of characters."""
