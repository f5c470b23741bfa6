"""Helpers that know nothing about detection."""
