//! What has no code is refused with its place; hostile requests do no harm.
#![allow(clippy::unwrap_used)] // functions that tests share count as no tests

use std::{fs, process::Command};

use feuerbird_codegen::{Error, generate};

/// The compiled request of a schema; `None` where there is no `capnp` tool.
fn request(name: &str, schema: &str) -> Option<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("other.capnp"), "@0xaaaa111122223333; struct Other @0xaaaa111122224444 {}")
        .unwrap();
    fs::write(folder.join("schema.capnp"), format!("@0xbbbb111122223333;\n{schema}")).unwrap();
    let tool = Command::new("capnp").args(["compile", "-o-", "schema.capnp"]).current_dir(&folder).output();
    let Ok(output) = tool else {
        assert!(std::env::var_os("FEUERBIRD_DEMAND_PEERS").is_none(), "there is no `capnp` tool here");
        println!("not tested: there is no `capnp` tool here (on Debian: apt-get install capnproto)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn refusal(name: &str, schema: &str) -> Option<String> {
    Some(match generate(&request(name, schema)?) {
        Err(error @ Error::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_has_no_code_is_refused_with_its_place() {
    for (name, schema, expected) in [
        ("generic", "struct Box(T) { value @0 :T; }", "Box: generic types have no code"),
        (
            "import",
            "struct S { a @0 :import \"other.capnp\".Other; }",
            "S.a: its type is in another file; put it into this one",
        ),
        (
            "fields",
            "struct S { hTTPServer @0 :Bool; hTtpServer @1 :Bool; }",
            "S.hTtpServer: another field has the same name in Rust",
        ),
        (
            "which",
            "struct S { which @0 :Bool; union { a @1 :Bool; b @2 :Bool; } }",
            "S.which: the name belongs to the union beside it",
        ),
        (
            "method",
            "struct S { text @0 :Text; hasText @1 :Bool; }",
            "S.hasText: another field has the same name in Rust",
        ),
        (
            "setter",
            "struct S { p @0 :List(S); pFrom @1 :Bool; }",
            "S.pFrom: another field has the same name in Rust",
        ),
        ("raw", "struct S { asRaw @0 :UInt8; }", "S.asRaw: the name belongs to what is made for its struct"),
        (
            "variants",
            "struct S { union { self @0 :Bool; itself @1 :Bool; } }",
            "S.itself: another field has the same name in Rust",
        ),
        (
            "enumerants",
            "enum E { hTTPServer @0; hTtpServer @1; }",
            "E.hTtpServer: another value has the same name in Rust",
        ),
        (
            "parameter",
            "struct Box(T) { struct In { value @0 :T; } } struct S { a @0 :Box(Text).In; }",
            "Box.In: generic types have no code",
        ),
        (
            "annotated",
            "annotation note(struct) :Text; struct S $note(\"x\") { a @0 :Bool; } const c :List(Bool) = [true];",
            "c: constants have the type of a number, a text or data",
        ),
        (
            "constant",
            "struct S { a @0 :Bool; } const c :S = (a = true);",
            "c: constants have the type of a number, a text or data",
        ),
    ] {
        if let Some(text) = refusal(name, schema) {
            assert_eq!(text, format!("schema.capnp: {expected}"));
        }
    }
}

#[test]
fn types_that_would_have_the_same_name_are_refused_with_both_places() {
    for (name, schema, places) in [
        ("nested", "struct FooBar {} struct Foo { struct Bar {} }", "Foo.Bar and FooBar"),
        ("group", "struct FooBar {} struct Foo { bar :group { a @0 :Bool; } }", "Foo.bar and FooBar"),
        ("reader", "enum FooReader { a @0; } struct Foo {}", "Foo and FooReader"),
        ("builder", "struct FooBuilder {} struct Foo {}", "Foo and FooBuilder"),
        ("message", "struct FooMessage {} struct Foo {}", "Foo and FooMessage"),
        ("fixed", "struct FooRaw {} struct Foo { a @0 :UInt8; }", "Foo and FooRaw"),
        (
            "bits",
            "struct FooRaw {} struct Foo { a @0 :Bool = true; g :group { b @1 :Void; } }",
            "Foo and FooRaw",
        ),
        ("union", "struct Foo { struct Which {} union { a @0 :Bool; b @1 :Bool; } }", "Foo and Foo.Which"),
        ("value", "enum E { a @0; } const e :UInt8 = 1;", "E and e"),
        ("itself", "struct Self {} struct Itself {}", "Itself and Self"),
    ] {
        let Some(text) = refusal(name, schema) else { return };
        assert_eq!(text, format!("schema.capnp: {places}: both have the same name in Rust"));
    }
    // What is not made takes no name.
    for (name, schema) in [
        ("no-raw", "struct FooRaw {} struct Foo { a @0 :Text; }"),
        ("no-flat", "struct FooRaw {} struct Foo { aB @0 :Bool; a :group { b @1 :Bool; } }"),
        ("no-union", "struct Foo { struct Which {} which @0 :Bool; unknown @1 :Bool; }"),
        ("reset", "struct S { g :group { reset :group { a @0 :Bool; } any @1 :AnyPointer; } }"),
        ("others", "annotation note(struct) :Text; struct S $note(\"x\") { setA @0 :Bool; a @1 :Text; }"),
    ] {
        let Some(request) = request(name, schema) else { return };
        generate(&request).unwrap();
    }
}

#[test]
fn interfaces_are_indices_of_capabilities() {
    let schema = "interface Peer { call @0 (); } struct S { one @0 :Peer; many @1 :List(Peer); }";
    let Some(request) = request("interface", schema) else { return };
    let code = generate(&request).unwrap();
    assert!(
        code.contains("pub one: ::core::option::Option<::feuerbird_serialization::wire::CapabilityIndex>")
    );
    assert!(code.contains("check_capability()"));
    assert!(code.contains("List<'a, ::feuerbird_serialization::wire::Capability>"));
}

#[test]
fn the_same_schema_always_gives_the_same_text() {
    let request = fs::read("../../schemas/everything.capnp.request").unwrap();
    assert_eq!(generate(&request).unwrap(), generate(&request).unwrap());
}

/// Every reference of a request made to lead to every struct and group, itself included.
#[test]
fn requests_whose_groups_lead_in_circles_end() {
    let request = fs::read("../../schemas/corners.capnp.request").unwrap();
    let message =
        capnp::serialize::read_message_from_flat_slice(&mut &request[..], Default::default()).unwrap();
    let root: capnp::schema_capnp::code_generator_request::Reader<'_> = message.get_root().unwrap();
    let ids: Vec<u64> = root.get_nodes().unwrap().iter().map(|node| node.get_id()).collect();
    for word in 0..request.len() / 8 {
        if !ids.contains(&u64::from_le_bytes(request[word * 8..][..8].try_into().unwrap())) {
            continue;
        }
        for id in &ids {
            let mut changed = request.clone();
            changed[word * 8..][..8].copy_from_slice(&id.to_le_bytes());
            let _ = generate(&changed);
        }
    }
}

#[test]
fn broken_requests_are_errors() {
    let request = fs::read("../../schemas/sample.capnp.request").unwrap();
    assert!(generate(&[]).is_err());
    assert!(matches!(generate(b"no request"), Err(Error::Malformed(_))));
    for length in (0..request.len()).step_by(24) {
        assert!(generate(&request[..length]).is_err());
    }
    for word in 0..request.len() / 8 {
        for value in [0, u64::MAX, 0x7FFF_FFFF_0000_0001] {
            let mut changed = request.clone();
            changed[word * 8..][..8].copy_from_slice(&u64::to_le_bytes(value));
            let _ = generate(&changed);
        }
    }
}
