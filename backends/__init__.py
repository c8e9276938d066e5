"""How a kernel becomes callable, one module per kernel type."""
