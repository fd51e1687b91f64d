@0xf1a2c3b4d5e69780;
# Every kind of field there is, for tests.

enum Color @0xa0b1c2d3e4f50617 {
  red @0;
  green @1;
  darkBlue @2;
}

const theAnswer @0xb2c3d4e5f6071829 :UInt32 = 42;
const greeting @0xc3d4e5f60718293b :Text = "good morning";
const half @0xd4e5f60718293a4c :Float64 = 0.5;
const magic @0xe5f60718293a4b5d :Data = 0x"c0 ff ee";

struct Numbers @0x96a7b8c9dae0f102 {
  # All primitive types.

  void @0 :Void;
  bool @1 :Bool;
  int8 @2 :Int8;
  int16 @3 :Int16;
  int32 @4 :Int32;
  int64 @5 :Int64;
  uint8 @6 :UInt8;
  uint16 @7 :UInt16;
  uint32 @8 :UInt32;
  uint64 @9 :UInt64;
  float32 @10 :Float32;
  float64 @11 :Float64;
  color @12 :Color;
  secondBool @13 :Bool;
}

struct Defaults @0xa7b8c9dae0f10213 {
  # All primitive types, with defaults.

  bool @0 :Bool = true;
  int8 @1 :Int8 = -8;
  int16 @2 :Int16 = -1600;
  int32 @3 :Int32 = -320000;
  int64 @4 :Int64 = -64000000000;
  uint8 @5 :UInt8 = 8;
  uint16 @6 :UInt16 = 1600;
  uint32 @7 :UInt32 = 320000;
  uint64 @8 :UInt64 = 64000000000;
  float32 @9 :Float32 = 1.5;
  float64 @10 :Float64 = -2.25;
  color @11 :Color = darkBlue;
  text @12 :Text = "default";
  data @13 :Data = 0x"01 02 03";
  list @14 :List(UInt16) = [1, 2, 3];
  inner @15 :Numbers = (int32 = 7, color = green);
  texts @16 :List(Text) = ["a", "bc"];
}

struct Lists @0xb8c9dae0f1021324 {
  # Lists of everything.

  voids @0 :List(Void);
  bools @1 :List(Bool);
  int8s @2 :List(Int8);
  int16s @3 :List(Int16);
  int32s @4 :List(Int32);
  int64s @5 :List(Int64);
  uint8s @6 :List(UInt8);
  uint16s @7 :List(UInt16);
  uint32s @8 :List(UInt32);
  uint64s @9 :List(UInt64);
  float32s @10 :List(Float32);
  float64s @11 :List(Float64);
  colors @12 :List(Color);
  texts @13 :List(Text);
  datas @14 :List(Data);
  structs @15 :List(Numbers);
  nested @16 :List(List(Int32));
  deep @17 :List(List(List(Text)));
  trees @18 :List(Tree);
}

struct Tree @0xc9dae0f102132435 {
  # A type that contains itself.

  label @0 :Text;
  children @1 :List(Tree);
  next @2 :Tree;
}

struct Shape @0xdae0f10213243546 {
  # An unnamed union beside other fields, a named one, and groups.

  name @0 :Text;
  union {
    nothing @1 :Void;
    circle @2 :Float64;
    polygon @3 :List(Float64);
    label @4 :Text;
    box :group {
      width @5 :UInt32;
      height @6 :UInt32;
      title @7 :Text;
    }
  }
  fill :union {
    none @8 :Void;
    color @9 :Color;
    texture @10 :Data;
  }
  position :group {
    x @11 :Int32;
    y @12 :Int32;
  }
  type @13 :UInt8;
}

struct Everything @0xe0f1021324354657 {
  # All of the above behind pointers.

  numbers @0 :Numbers;
  defaults @1 :Defaults;
  lists @2 :Lists;
  tree @3 :Tree;
  shapes @4 :List(Shape);
  any @5 :AnyPointer;
  text @6 :Text;
  data @7 :Data;

  struct Inner @0xf10213243546587a {
    # A struct inside of a struct.

    value @0 :UInt64;
  }
  inner @8 :Inner;
}
