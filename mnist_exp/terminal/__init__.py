"""What the user sees in a terminal: messages, tables, images and curves made of characters."""
