@0x8202122232425262;
# The message of evolution_old.capnp as a newer program knows it.

struct Reading @0xb1111213141516aa {
  # A struct that has grown: more fields, a list of numbers become one of structs, another member in the union.

  id @0 :UInt32;
  samples @1 :List(Measured);
  names @2 :List(Named);
  union {
    unset @3 :Void;
    number @4 :Int64;
    text @6 :Text;
  }
  points @5 :List(Spot);
  added @7 :UInt64 = 77;
  note @8 :Text;
}

struct Spot @0xb2222324252627bb {
  # An element that has grown.

  x @0 :Int32;
  y @1 :Int32 = -5;
  label @2 :Text;
}

struct Measured @0xb333343536373800 {
  # What a number was.

  value @0 :UInt16;
  error @1 :UInt16 = 9;
}

struct Named @0xb4444546474849dd {
  # What a text was.

  text @0 :Text;
  weight @1 :Float32;
}
