"""Conversions of output studies: made when first asked for, cached by content until retention removes them."""
