"""The parts that make one machine enough: a broker and a registry without a JVM. Not for production."""
