@0xd211222233334444;
# Fields of an interface's type: indices of the capabilities that are sent beside a message.

interface Peer @0xd211222233334441 {
  # Has no code here: methods are for the program.

  call @0 (number :UInt32) -> (text :Text);

  struct Note @0xd211222233334443 {
    # A struct inside of an interface is one as any other.

    text @0 :Text;
  }
}

struct Introduction @0xd211222233334442 {
  # Hands over one peer, and some more.

  first @0 :Peer;
  others @1 :List(Peer);
  note @2 :Peer.Note;
  union {
    nobody @3 :Void;
    last @4 :Peer;
  }
}
