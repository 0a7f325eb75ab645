"""The nn floor: backbones, losses and maps in plain PyTorch, each usable alone."""
