"""A second, slow and obvious implementation of docs/domain.md, against which tests hold the product. It shares no code."""
