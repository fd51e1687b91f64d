@0xd311222233334444;
# What is rare, for tests: defaults behind every kind of pointer, in groups and in unions, and groups inside of groups.

struct Point @0xd311222233334441 {
  x @0 :Int32 = 3;
  y @1 :Int32;
}

struct Corners @0xd311222233334442 {
  points @0 :List(Point) = [(x = 1, y = 2), (y = 5)];
  bools @1 :List(Bool) = [true, false, true];
  nested @2 :List(List(UInt16)) = [[1, 2], [], [3]];
  datas @3 :List(Data) = [0x"01", 0x"02 03"];
  any @4 :AnyPointer;
  voids @5 :List(Void) = [void, void];
  group :group {
    number @6 :Int16 = -6;
    text @7 :Text = "in a group";
    inner :group {
      flag @8 :Bool = true;
      points @9 :List(Point) = [(x = 9)];
    }
  }
  union {
    number @10 :UInt32 = 10;
    text @11 :Text = "in a union";
    point @12 :Point = (x = 11, y = 12);
    pair :group {
      low @13 :UInt32;
      high @14 :Text;
      union {
        none @15 :Void;
        some @16 :Float64 = 0.25;
      }
    }
    anything @17 :AnyPointer;
  }
  infinite @18 :Float32 = inf;
  unclear @19 :Float64 = nan;
}

struct Flat @0xd311222233334443 {
  # A struct whose view can become a plain value, groups and all.

  name @0 :Text = "flat";
  place :group {
    x @1 :Int8 = -1;
    y @2 :UInt64;
  }
}

struct Padded @0xd31122223333444a {
  # Numbers that do not fill their words: the raw struct says where nothing lies.

  small @0 :UInt8;
  large @1 :UInt64;
  middle @2 :UInt16;
  float @3 :Float32;
}

struct Chain @0xd31122223333444b {
  # A union whose first member is the struct itself: one that was never set has no end.

  union {
    next @0 :Chain;
    end @1 :Void;
  }
}

struct Again @0xd31122223333444d {
  # Defaults that hold fields with the same defaults: whoever shows them all never ends.

  number @0 :UInt32;
  next @1 :Again = (number = 7);
  all @2 :List(Again) = [(number = 8)];
  group :group {
    next @3 :Again = (number = 9);
  }
  union {
    member @4 :Again = (number = 10);
    none @5 :Void;
  }
}

struct Fixed @0xd311222233334446 {
  # Nothing that is elsewhere, and nothing that lies there as Rust would have it: bits, defaults, groups.

  enum Level @0xd311222233334447 { low @0; middle @1; high @2; }

  on @0 :Bool = true;
  off @1 :Bool;
  nothing @2 :Void;
  signed @3 :Int16 = -3;
  plain @4 :UInt32;
  level @5 :Level = high;
  place :group {
    ratio @6 :Float64 = 0.5;
    inner :group {
      far @7 :Bool;
      count @8 :UInt8 = 7;
    }
  }
}
