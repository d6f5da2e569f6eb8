"""Operation counts and other command-line programs that read the package from outside."""
