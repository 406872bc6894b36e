"""`./run demo`: a clinical Orthanc with this product, a research archive, and sample studies on their way."""
