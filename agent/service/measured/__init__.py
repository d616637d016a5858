"""What is measured of the daemon, metric by metric."""
