@0x8101112131415161;
# A message as an older program knows it; evolution_new.capnp has the same one, grown.

struct Reading @0xb1111213141516aa {
  # A struct that grows.

  id @0 :UInt32;
  samples @1 :List(UInt16);
  names @2 :List(Text);
  union {
    unset @3 :Void;
    number @4 :Int64;
  }
  points @5 :List(Spot);
}

struct Spot @0xb2222324252627bb {
  # An element that grows.

  x @0 :Int32;
}
