//! Values of the structs of `everything.capnp`, for whoever has the generated types in `crate::everything`.
#![allow(dead_code, unreachable_pub)]

use crate::everything::*;

pub const NUMBERS: Numbers = Numbers {
    bool: true,
    int8: -1,
    int16: i16::MIN,
    int32: -3,
    int64: i64::MIN,
    uint8: 255,
    uint16: 65_535,
    uint32: u32::MAX,
    uint64: u64::MAX - 1,
    float32: 1.0e-7,
    float64: f64::MAX,
    color: Color::DARK_BLUE,
    second_bool: true,
};

pub const LEAF: Tree<'_> = Tree { label: "leaf", children: &[], next: None };
pub const MIDDLE: Tree<'_> = Tree { label: "middle", children: &[LEAF, LEAF], next: Some(&LEAF) };
pub const TREE: Tree<'_> = Tree { label: "root", children: &[MIDDLE, LEAF, MIDDLE], next: Some(&MIDDLE) };

/// Lists of so many elements of every type.
pub fn with_lists(count: usize, check: impl FnOnce(Lists<'_>)) {
    let bools: Vec<bool> = (0..count).map(|i| i % 3 == 0).collect();
    let bytes: Vec<u8> = (0..count).map(|i| (i * 7) as u8).collect();
    let words: Vec<u64> = (0..count).map(|i| u64::MAX / (i as u64 + 1)).collect();
    let (i8s, i16s): (Vec<i8>, Vec<i16>) = bytes.iter().map(|b| (*b as i8, -i16::from(*b))).unzip();
    let (i32s, i64s): (Vec<i32>, Vec<i64>) = words.iter().map(|w| (*w as i32, *w as i64)).unzip();
    let (u16s, u32s): (Vec<u16>, Vec<u32>) = words.iter().map(|w| (*w as u16, *w as u32)).unzip();
    let (f32s, f64s): (Vec<f32>, Vec<f64>) = words.iter().map(|w| (1.0 / *w as f32, *w as f64 / 3.0)).unzip();
    let colors: Vec<Color> = (0..count).map(|i| Color(i as u16 % 3)).collect();
    let strings: Vec<String> = (0..count).map(|i| "ä".repeat(i)).collect();
    let texts: Vec<&str> = strings.iter().map(String::as_str).collect();
    let datas: Vec<&[u8]> = (0..count).map(|i| &bytes[..i]).collect();
    let structs: Vec<Numbers> = words.iter().map(|word| Numbers { uint64: *word, ..NUMBERS }).collect();
    let nested: Vec<&[i32]> = (0..count).map(|i| &i32s[i..]).collect();
    let deep: Vec<&[&[&str]]> = vec![&[&["x", ""], &[]]; count];
    let trees: Vec<Tree<'_>> = texts.iter().map(|label| Tree { label, ..MIDDLE }).collect();
    check(Lists {
        voids: &vec![(); count],
        bools: &bools,
        int8s: &i8s,
        int16s: &i16s,
        int32s: &i32s,
        int64s: &i64s,
        uint8s: &bytes,
        uint16s: &u16s,
        uint32s: &u32s,
        uint64s: &words,
        float32s: &f32s,
        float64s: &f64s,
        colors: &colors,
        texts: &texts,
        datas: &datas,
        structs: &structs,
        nested: &nested,
        deep: &deep,
        trees: &trees,
    });
}

/// Every member of both unions, each with each.
pub fn every_shape() -> Vec<Shape<'static>> {
    let members = [
        ShapeWhich::Nothing,
        ShapeWhich::Circle(2.5),
        ShapeWhich::Polygon(&[1.0, -2.0, 3.5]),
        ShapeWhich::Label("round"),
        ShapeWhich::Box(ShapeBox { width: 3, height: 4, title: "boxed" }),
    ];
    let fills =
        [ShapeFillWhich::None, ShapeFillWhich::Color(Color::GREEN), ShapeFillWhich::Texture(&[9, 8, 0])];
    let shape = |(which, fill)| Shape {
        name: "shape",
        position: ShapePosition { x: -1, y: 1 },
        fill: ShapeFill { which: fill },
        which,
        r#type: 7,
    };
    members.iter().flat_map(|which| fills.map(|fill| (*which, fill))).map(shape).collect()
}
