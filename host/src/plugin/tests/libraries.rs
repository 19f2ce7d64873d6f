//! Bytes that are no library, or not one of ours: refused, never opened.

use std::sync::Arc;

use super::echo_library;
use crate::plugin::elf;
use crate::plugin::error::LibraryError;
use crate::plugin::image::LibraryFile;

fn echo_bytes() -> Vec<u8> {
    std::fs::read(echo_library()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    elf::check(bytes).unwrap_err().to_string()
}

#[test]
fn the_manifest_is_read_without_running_anything() {
    let manifest = elf::check(&echo_bytes()).unwrap();
    assert_eq!(manifest.name, "echo-agent");
    assert_eq!(manifest.api, mortise_plugin_api::API_VERSION);
    assert_eq!(manifest.panic, "unwind");
}

#[test]
fn what_is_no_library_says_what_it_is() {
    assert_eq!(refusal(b""), "it is not a library: the file is empty");
    assert_eq!(
        refusal(b"#!/bin/sh\necho hello\n"),
        "it is not a library: it is text"
    );
    let random: Vec<u8> = (0..4096_u32)
        .map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect();
    assert_eq!(
        refusal(&random),
        "it is not a library: it does not begin as one"
    );
    assert_eq!(
        refusal(b"MZ\x90\0"),
        "it is not a library: it is made for Windows"
    );
    assert!(refusal(b"\x7fELF").starts_with("it is cut off"));
}

#[test]
fn a_library_that_is_cut_off_anywhere_is_refused() {
    let bytes = echo_bytes();
    let steps = (0..bytes.len()).step_by(4096);
    let edges = segment_edges(&bytes);
    let near_edges = edges
        .iter()
        .flat_map(|&edge| [edge.saturating_sub(1), edge]);
    for length in steps.chain(near_edges).chain([bytes.len() - 1]) {
        if length < bytes.len() {
            assert!(elf::check(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}

/// Where segments begin and end.
fn segment_edges(bytes: &[u8]) -> Vec<usize> {
    use object::read::elf::{FileHeader as _, ProgramHeader as _};

    let header = object::elf::FileHeader64::<object::Endianness>::parse(bytes).unwrap();
    let endian = header.endian().unwrap();
    let segments = header.program_headers(endian, bytes).unwrap();
    let ranges = segments.iter().map(|segment| segment.file_range(endian));
    ranges
        .flat_map(|(offset, length)| [offset, offset + length])
        .map(|edge| usize::try_from(edge).unwrap())
        .collect()
}

#[test]
fn another_machine_is_named_with_this_one() {
    let mut bytes = echo_bytes();
    let other = if cfg!(target_arch = "aarch64") {
        62
    } else {
        183
    };
    bytes[18] = other;
    let message = refusal(&bytes);
    assert!(message.contains("it is built for "), "{message}");
    assert!(
        message.ends_with(&format!("this host is {}", std::env::consts::ARCH)),
        "{message}"
    );
}

#[test]
fn another_class_and_byte_order_are_refused() {
    let mut narrow = echo_bytes();
    narrow[4] = 1;
    assert!(refusal(&narrow).contains("32 bits"));
    let mut big = echo_bytes();
    big[5] = 2;
    assert!(refusal(&big).contains("big-endian"));
}

#[test]
fn programs_and_object_files_are_refused() {
    let mut bytes = echo_bytes();
    bytes[16] = 2;
    assert_eq!(refusal(&bytes), "it is a program, not a shared library");
    bytes[16] = 1;
    assert_eq!(
        refusal(&bytes),
        "it is an object file, not a shared library"
    );
    let this_test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(refusal(&this_test), "it is a program, not a shared library");
}

#[test]
fn a_flipped_bit_anywhere_never_crashes() {
    let mut bytes = echo_bytes();
    let mut random = 1_u64;
    for _ in 0..10_000 {
        // Knuth's generator: the same places in every run.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(random >> 16).unwrap() % bytes.len();
        let bit = 1 << (random % 8);
        bytes[at] ^= bit;
        let _ = elf::check(&bytes);
        bytes[at] ^= bit;
    }
}

#[test]
fn flipped_bits_in_the_headers_never_crash() {
    let mut bytes = echo_bytes();
    // The header, the table of segments, and the table of sections at the end.
    let (front, back) = (0..64 + 56 * 14, bytes.len() - 64 * 40..bytes.len());
    for at in front.chain(back) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let _ = elf::check(&bytes);
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn a_layout_that_differs_is_told_in_a_few_words() {
    use mortise_plugin_abi::stable::{RString, StableAbi};

    use crate::plugin::compat::check_layout;

    assert!(check_layout(mortise_plugin_abi::PluginModule_Ref::LAYOUT, "1.0.0").is_ok());
    let said = check_layout(RString::LAYOUT, "1.7.0")
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("boundary 1.0.0 here, 1.7.0 there; type PrefixRef"),
        "{said}"
    );
    assert!(said.len() < 1024, "{said}");
}

#[test]
fn static_thread_local_storage_is_refused() {
    let mut bytes = echo_bytes();
    let flags = dynamic_flags_at(&bytes);
    bytes[flags] |= 0x10;
    assert!(matches!(elf::check(&bytes), Err(LibraryError::StaticTls)));
}

/// Where the value of `DT_FLAGS` stands.
fn dynamic_flags_at(bytes: &[u8]) -> usize {
    use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

    let header = object::elf::FileHeader64::<object::Endianness>::parse(bytes).unwrap();
    let endian = header.endian().unwrap();
    let segments = header.program_headers(endian, bytes).unwrap();
    for segment in segments {
        if let Some(entries) = segment.dynamic(endian, bytes).unwrap() {
            let (offset, _) = segment.file_range(endian);
            let index = entries
                .iter()
                .position(|entry| entry.tag(endian) == object::elf::DT_FLAGS)
                .unwrap();
            return usize::try_from(offset).unwrap() + index * 16 + 8;
        }
    }
    panic!("no dynamic segment");
}

#[test]
fn a_manifest_that_does_not_fit_is_refused_before_the_library_is_opened() {
    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = echo_bytes();
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = LibraryFile::of_bytes("libecho_agent.so", bytes)
            .load(None)
            .unwrap_err();
        (error.to_string(), error.remedy())
    };
    let (message, remedy) = changed(r#""api":"1.0""#, r#""api":"2.0""#);
    assert_eq!(message, "it speaks plugin API 2.0, this host speaks 1.0");
    assert!(remedy.contains("mortise-plugin-api"));
    let (message, remedy) = changed(r#""panic":"unwind""#, r#""panic":"abort!""#);
    assert!(message.contains("panic = \"abort!\""), "{message}");
    assert!(remedy.contains("unwind"));
    let (message, _) = changed(r#"{"name":""#, r#"{"name":{"#);
    assert!(message.contains("`.mortise`"), "{message}");
}

#[test]
fn a_library_without_the_section_is_no_plugin() {
    let mut bytes = echo_bytes();
    let name = b"\0.mortise\0";
    while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
        bytes[at + 2] = b'M';
    }
    assert!(matches!(elf::check(&bytes), Err(LibraryError::NotAPlugin)));
}

#[test]
fn the_same_bytes_are_one_image() {
    let load = || {
        LibraryFile::of_bytes("libecho_agent.so", echo_bytes())
            .load(None)
            .unwrap()
    };
    let (first, second) = (load(), load());
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.digest.len(), 64);
}

#[test]
fn other_bytes_are_another_image() {
    let first = LibraryFile::of_bytes("libecho_agent.so", echo_bytes());
    let mut bytes = echo_bytes();
    // Behind everything that is mapped or looked at.
    bytes.push(0);
    let second = LibraryFile::of_bytes("libecho_agent.so", bytes);
    let (first, second) = (first.load(None).unwrap(), second.load(None).unwrap());
    assert_ne!(first.digest, second.digest);
    assert_ne!(
        first.module.create() as usize,
        second.module.create() as usize,
        "the second is mapped by itself"
    );
}

#[test]
fn what_the_system_says_is_kept() {
    // An undefined symbol: the name of one that is imported from libc is changed.
    let mut bytes = echo_bytes();
    let name = b"\0memmove\0";
    let at = bytes.windows(name.len()).position(|window| window == name);
    let at = at.expect("it imports memmove");
    bytes[at + 1] = b'x';
    let error = LibraryFile::of_bytes("libecho_agent.so", bytes)
        .load(None)
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("xemmove"), "{message}");
    assert!(message.contains("libecho_agent.so"), "{message}");
    assert!(!message.contains("/proc"), "{message}");
}
