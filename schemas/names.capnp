@0xd111222233334444;
# Names that mean something in Rust, for tests: keywords, and what every Rust program sees without importing it.

struct Result @0xd111222233334441 {
  # Shadows what generated code returns.

  option @0 :Option;
  text @1 :Text = "x";
  list @2 :List(Some);
  default @3 :UInt32 = 7;
  none @4 :None;
  err @5 :Data;
  union {
    unknown @6 :Void;
    self @7 :Text;
    ok @8 :Self;
    match @9 :AnyPointer;
  }
}

struct Option @0xd111222233334442 {
  self @0 :UInt32;
  type @1 :UInt8;
  super @2 :Text;
  fmt @3 :Text;
  from @4 :UInt32;
  clone @5 :Data;
  encode @6 :Bool;
  gen @7 :Float32;
}

struct Default @0xd111222233334443 { x @0 :UInt32; }
struct From @0xd111222233334445 { x @0 :UInt32; y @1 :Text; }
struct Into @0xd111222233334446 { x @0 :UInt32; }
struct FnOnce @0xd111222233334447 { x @0 :UInt32; list @1 :List(FnOnce); }
struct Self @0xd11122223333444c { a @0 :Bool; }
struct Copy @0xd11122223333444d { a @0 :UInt8; }
struct PartialEq @0xd11122223333444e { a @0 :UInt8; }
struct Sized @0xd11122223333444f { a @0 :UInt8; any @1 :AnyPointer; }

enum Some @0xd111222233334448 { type @0; self @1; }
enum None @0xd111222233334449 { a @0; }
enum Ok @0xd11122223333444a { none @0; }
enum Err @0xd11122223333444b { none @0; }

const type @0xd111222233334450 :UInt8 = 3;
