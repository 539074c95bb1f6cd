"""Questions put to the provenance graph."""
