"""Feast's registry: how it is changed, and what is in it beside feature views."""
