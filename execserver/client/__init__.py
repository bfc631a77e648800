"""The clients: one sans-IO core, an adapter for each runtime. Never imports ``server``."""
