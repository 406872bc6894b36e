"""What the standard says: tables of PS3.15 and PS3.3 as data, and what reads them."""
