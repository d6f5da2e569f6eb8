"""Encoders, decoders and the stylizer that joins them."""
