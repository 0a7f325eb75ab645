"""The data floor: what an image set is, phantoms, named sources, imbalance, joint augmentation."""
