//! What the derive writes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DataEnum, DataStruct, DeriveInput, Error, LitInt, LitStr, Path, Result, spanned::Spanned};

const PADDING: &str = "a plain value has no padding: sort the fields by size, largest first, \
                       or name the bytes between and behind them as fields";

/// The implementation for a struct or an enum, or why there is none.
pub(crate) fn plain_value(item: &DeriveInput) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "a plain value has no parameters: both ends must agree on one size, and nothing is borrowed",
        ));
    }
    let Options { name, version, runtime } = Options::of(item)?;
    let ident = &item.ident;
    let (layout, padding) = match &item.data {
        Data::Struct(data) => fields(item, data)?,
        Data::Enum(data) => (variants(item, data)?, TokenStream::new()),
        Data::Union(_) => {
            return Err(Error::new_spanned(
                ident,
                "a union is no plain value: which member it has nobody can say",
            ));
        }
    };
    Ok(quote! {
        #padding
        #[automatically_derived]
        impl #runtime::PlainValue for #ident {
            const NAME: &'static str = #name;
            const VERSION: u64 = #runtime::PlainLayout::new(#version) #layout .hash();
        }
    })
}

/// The calls that add a struct's fields to its layout, and the proof that there is nothing between them.
fn fields(item: &DeriveInput, data: &DataStruct) -> Result<(TokenStream, TokenStream)> {
    let is_fixed = |word: &Path| word.is_ident("C") || word.is_ident("transparent");
    if !representation(item, is_fixed)? {
        let message = "a plain value is `#[repr(C)]` or `#[repr(transparent)]`: otherwise each program may order its fields anew";
        return Err(Error::new_spanned(&item.ident, message));
    }
    let ident = &item.ident;
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let fields = data.fields.members().zip(&types).map(|(member, ty)| {
        let name = match &member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(index) => index.index.to_string(),
        };
        quote_spanned! {ty.span()=> .field::<#ty>(#name, ::core::mem::offset_of!(#ident, #member)) }
    });
    let padding = quote! {
        const _: () = ::core::assert!(::core::mem::size_of::<#ident>() == 0 #(+ ::core::mem::size_of::<#types>())*, #PADDING);
    };
    Ok((quote! { #(#fields)* }, padding))
}

/// The calls that add an enum's variants to its layout.
fn variants(item: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    const INTEGERS: [&str; 8] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];
    if data.variants.iter().any(|variant| !variant.fields.is_empty()) {
        let message = "an enum whose variants have fields is no plain value: behind the shorter ones there would be padding";
        return Err(Error::new_spanned(&item.ident, message));
    }
    if !representation(item, |word| INTEGERS.iter().any(|integer| word.is_ident(integer)))? {
        let message = "a plain enum says how large it is: `#[repr(u8)]`, or another integer";
        return Err(Error::new_spanned(&item.ident, message));
    }
    let ident = &item.ident;
    let variants = data.variants.iter().map(|variant| {
        let (variant, name) = (&variant.ident, variant.ident.to_string());
        quote! { .variant(#name, #ident::#variant as u64) }
    });
    Ok(quote! { #(#variants)* })
}

/// Whether one of the words in `repr` is as asked for.
fn representation(item: &DeriveInput, is_asked: impl Fn(&Path) -> bool) -> Result<bool> {
    let mut is_there = false;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            is_there |= is_asked(&meta.path);
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<LitInt>()?;
            }
            Ok(())
        })?;
    }
    Ok(is_there)
}

/// What `#[plain_value(...)]` says.
struct Options {
    name: String,
    version: u64,
    runtime: Path,
}

impl Options {
    fn of(item: &DeriveInput) -> Result<Self> {
        let runtime = syn::parse_quote!(::feuerbird_serialization);
        let mut options = Self { name: item.ident.to_string(), version: 0, runtime };
        for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("plain_value")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    options.name = checked_name(&name)?;
                } else if meta.path.is_ident("version") {
                    options.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
                } else if meta.path.is_ident("crate") {
                    options.runtime = meta.value()?.parse::<LitStr>()?.parse()?;
                } else {
                    return Err(
                        meta.error("there are `name = \"...\"`, `version = 1` and `crate = \"path\"`")
                    );
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// A name of which both ends compare all.
fn checked_name(name: &LitStr) -> Result<String> {
    match name.value() {
        value if value.is_empty() || value.len() > 64 => {
            Err(Error::new_spanned(name, "a name has 1 to 64 bytes: more are not compared"))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: &str) -> String {
        plain_value(&syn::parse_str(item).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_plain_value_is_refused_with_the_reason() {
        for (item, reason) in [
            ("#[repr(u8)] enum Shape { Round, Square(u8) }", "have fields"),
            ("enum Color { Red }", "how large"),
            ("#[repr(C)] enum Color { Red }", "how large"),
            ("#[repr(C)] union Either { a: u8, b: i8 }", "a union"),
            ("#[repr(C)] struct Pair<T>(T, T);", "no parameters"),
            ("#[repr(C)] struct Borrowed<'a>(&'a u8);", "no parameters"),
            ("struct Unordered { x: u8 }", "`#[repr(C)]`"),
            ("#[repr(align(8))] struct Unordered { x: u64 }", "`#[repr(C)]`"),
            ("#[repr(C)] #[plain_value(name = \"\")] struct Nameless(u8);", "1 to 64 bytes"),
            ("#[repr(C)] #[plain_value(nmae = \"a\")] struct Misspelt(u8);", "there are `name"),
            ("#[repr(C)] #[plain_value(version = -1)] struct Past(u8);", "invalid digit"),
        ] {
            let refusal = refusal(item);
            assert!(refusal.contains(reason), "{item}: {refusal}");
        }
    }

    #[test]
    fn representations_that_say_more_are_accepted() {
        for item in [
            "#[repr(C, align(16))] struct Aligned([u64; 2]);",
            "#[repr(C)] #[repr(align(16))] struct Aligned([u64; 2]);",
            "#[repr(C, packed(2))] struct Packed { a: u16, b: u64 }",
            "#[repr(transparent)] struct Id(u64);",
            "#[repr(C)] struct Nothing;",
            "#[repr(u8)] enum Color { Red, Green = 7 }",
        ] {
            assert!(plain_value(&syn::parse_str(item).unwrap()).is_ok(), "{item}");
        }
    }
}
