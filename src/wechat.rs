//! WeChat's protocols and nothing else: no database, no web framework.
