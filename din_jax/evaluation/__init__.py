"""Measuring trained models: metrics, tables, contact sheets and curves."""
