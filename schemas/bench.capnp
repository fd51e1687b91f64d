@0xc51de8a90f3b7246;
# The messages of the serialization benchmarks.

struct Tick @0xd2b6f19a4c80e357 {
  # A small message of fixed size.

  id @0 :UInt64;
    # The instrument.
  time @1 :UInt64;
    # When, in nanoseconds.
  price @2 :Float64;
    # The price.
  size @3 :Float64;
    # The size.
  kind @4 :UInt32;
    # The kind.
  flags @5 :UInt32;
    # Flags.
}

struct Point @0xa8e0174d5b93c62f {
  # An element of a cloud.

  x @0 :Float64;
  y @1 :Float64;
  z @2 :Float64;
  id @3 :UInt64;
}

struct Cloud @0xe7c4a2053f96d18b {
  # A message that grows with its points.

  source @0 :Text;
    # Where the points come from.
  sequence @1 :UInt64;
    # The number of this cloud.
  points @2 :List(Point);
    # The points.
  colors @3 :Data;
    # One byte for each point.
}
