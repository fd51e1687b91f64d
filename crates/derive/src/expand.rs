//! What the derive writes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Error, LitInt, LitStr, Path, Result, spanned::Spanned};

const PADDING: &str = "a plain value has no padding: sort the fields by size, largest first, \
                       or name the bytes between and behind them as fields";

/// The implementation for a struct, or why there is none.
pub(crate) fn plain_value(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(
            &item.ident,
            "only a struct is a plain value: not every bit pattern is an enum, and which member a union has nobody can say",
        ));
    };
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "a plain value has no parameters: both ends must agree on one size, and nothing is borrowed",
        ));
    }
    check_representation(item)?;
    let Options { name, version, runtime } = Options::of(item)?;
    let ident = &item.ident;
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let fields = data.fields.members().zip(&types).map(|(member, ty)| {
        let name = match &member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(index) => index.index.to_string(),
        };
        quote_spanned! {ty.span()=> .field::<#ty>(#name, ::core::mem::offset_of!(#ident, #member)) }
    });
    Ok(quote! {
        const _: () = ::core::assert!(::core::mem::size_of::<#ident>() == 0 #(+ ::core::mem::size_of::<#types>())*, #PADDING);

        #[automatically_derived]
        impl #runtime::PlainValue for #ident {
            const NAME: &'static str = #name;
            const VERSION: u64 = #runtime::PlainLayout::new(#version) #(#fields)* .hash();
        }
    })
}

/// Without a representation, the compiler may order fields anew in every program.
fn check_representation(item: &DeriveInput) -> Result<()> {
    let mut is_fixed = false;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            is_fixed |= meta.path.is_ident("C") || meta.path.is_ident("transparent");
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<LitInt>()?;
            }
            Ok(())
        })?;
    }
    let message = "a plain value is `#[repr(C)]` or `#[repr(transparent)]`: otherwise each program may order its fields anew";
    if is_fixed { Ok(()) } else { Err(Error::new_spanned(&item.ident, message)) }
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
            ("#[repr(u8)] enum Color { Red }", "only a struct"),
            ("#[repr(C)] union Either { a: u8, b: i8 }", "only a struct"),
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
        ] {
            assert!(plain_value(&syn::parse_str(item).unwrap()).is_ok(), "{item}");
        }
    }
}
