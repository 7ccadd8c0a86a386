"""The Riccati recursion: factors and their use, sequential in time or by associative scans."""
