@0x9d4e27b86a01f3c5;

# How a value without a schema of its own (an integer, a `repr(C)` struct) travels in the Cap'n Proto layers: its bytes.
struct Plain @0xd7a30be4916c58f2 {
  # The value's bytes as they lie in memory.
  value @0 :Data;
}
