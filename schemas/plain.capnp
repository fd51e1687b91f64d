@0x9d4e27b86a01f3c5;

struct Plain @0xd7a30be4916c58f2 {
  # How a value without a schema of its own (an integer, a `repr(C)` struct) travels in the Cap'n Proto layers: its bytes.

  value @0 :Data;
    # The value's bytes as they lie in memory.
}
