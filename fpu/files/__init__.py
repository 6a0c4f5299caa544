"""Files: reading untrusted files safely, writing atomically, local folders and buckets, a cache of numbers."""
