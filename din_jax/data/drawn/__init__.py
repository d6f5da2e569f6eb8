"""Built-in pictures, drawn by a program: scenes as contents, paintings as styles."""
