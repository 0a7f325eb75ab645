"""The embedding explorer: the same images under two networks, their neighbours, and what few labels make of that."""

from careedu.show.deep_pneumonia.embeddings import Embeddings, embed
from careedu.show.deep_pneumonia.explorer import EmbeddingExplorer
from careedu.show.deep_pneumonia.view import EmbeddingView, embedding_explorer

__all__ = ["EmbeddingExplorer", "EmbeddingView", "Embeddings", "embed", "embedding_explorer"]
