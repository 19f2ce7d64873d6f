//! Whether bytes are a library that the system's loader can be trusted with, and what the library
//! says of itself. None of its code runs.
//!
//! The loader maps what the headers promise without looking: a file that was cut off ends the
//! process with SIGBUS, so the promises are compared with the bytes first.

use std::env::consts::ARCH;

use mortise_plugin_api::ffi::Manifest;
use object::Endianness;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};

use super::error::LibraryError;

type Header = FileHeader64<Endianness>;

const SECTION: &[u8] = b".mortise";
const HEADER_LENGTH: usize = 64;
/// The manifest is a few hundred bytes.
const LONGEST_MANIFEST: usize = 64 * 1024;

const CLASS_AT: usize = 4;
const DATA_AT: usize = 5;
const MACHINE_AT: usize = 18;

/// The machines that plugins are built for, by their number in the header.
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (8, "mips"),
    (20, "powerpc"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// Checks the bytes of a library and reads its manifest.
pub(super) fn check(bytes: &[u8]) -> Result<Manifest, LibraryError> {
    check_kind(bytes)?;
    check_target(bytes)?;
    let header = Header::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    match header.e_type(endian) {
        elf::ET_DYN => {}
        elf::ET_EXEC => return Err(LibraryError::NotShared("a program")),
        elf::ET_REL => return Err(LibraryError::NotShared("an object file")),
        elf::ET_CORE => return Err(LibraryError::NotShared("a core dump")),
        _ => return Err(LibraryError::NotShared("something unknown")),
    }
    check_tables(header, endian, bytes)?;
    let segments = header.program_headers(endian, bytes).map_err(damaged)?;
    check_segments(segments, endian, bytes)?;
    check_dynamic(segments, endian, bytes)?;
    manifest(header, endian, bytes)
}

fn check_kind(bytes: &[u8]) -> Result<(), LibraryError> {
    if bytes.is_empty() {
        return Err(LibraryError::NotALibrary("the file is empty"));
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(LibraryError::NotALibrary(likely_kind(bytes)));
    }
    if bytes.len() < HEADER_LENGTH {
        return Err(truncated(HEADER_LENGTH as u64, bytes));
    }
    Ok(())
}

fn likely_kind(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(512)];
    match start {
        [b'M', b'Z', ..] => "it is made for Windows",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            "it is made for macOS"
        }
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "it is a static library",
        _ if start
            .iter()
            .all(|&byte| byte >= b' ' || b"\t\r\n".contains(&byte)) =>
        {
            "it is text"
        }
        _ => "it does not begin as one",
    }
}

/// Compares class, byte order and machine with this host's.
fn check_target(bytes: &[u8]) -> Result<(), LibraryError> {
    let bits = match bytes[CLASS_AT] {
        1 => "32",
        2 => "64",
        _ => return Err(LibraryError::Damaged("its class is unknown".to_owned())),
    };
    let machine = [bytes[MACHINE_AT], bytes[MACHINE_AT + 1]];
    let (big_endian, machine) = match bytes[DATA_AT] {
        1 => (false, u16::from_le_bytes(machine)),
        2 => (true, u16::from_be_bytes(machine)),
        _ => {
            return Err(LibraryError::Damaged(
                "its byte order is unknown".to_owned(),
            ));
        }
    };
    let built_for = match MACHINES.iter().find(|(number, _)| *number == machine) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("machine {machine}"),
    };
    if built_for == ARCH && bits == "64" && big_endian == cfg!(target_endian = "big") {
        return Ok(());
    }
    let order = if big_endian { "big" } else { "little" };
    Err(LibraryError::WrongTarget {
        built_for: format!("{built_for}, {bits} bits, {order}-endian"),
        host: ARCH.to_owned(),
    })
}

/// Whether the tables of segments and sections are there in full.
fn check_tables(header: &Header, endian: Endianness, bytes: &[u8]) -> Result<(), LibraryError> {
    let tables = [
        (
            header.e_phoff(endian),
            header.e_phnum(endian),
            header.e_phentsize(endian),
        ),
        (
            header.e_shoff(endian),
            header.e_shnum(endian),
            header.e_shentsize(endian),
        ),
    ];
    for (offset, count, size) in tables {
        let length = u64::from(count) * u64::from(size);
        check_range(offset, length, bytes)?;
    }
    Ok(())
}

fn check_segments(
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
    bytes: &[u8],
) -> Result<(), LibraryError> {
    let mut loads = 0;
    for segment in segments {
        let (offset, in_file) = segment.file_range(endian);
        check_range(offset, in_file, bytes)?;
        let in_memory = segment.p_memsz(endian);
        if segment.p_type(endian) != elf::PT_LOAD {
            continue;
        }
        loads += 1;
        if in_memory < in_file || segment.p_vaddr(endian).checked_add(in_memory).is_none() {
            return Err(LibraryError::Damaged(
                "a segment does not fit where it belongs".to_owned(),
            ));
        }
    }
    if loads == 0 {
        return Err(LibraryError::Damaged(
            "nothing in it is to be loaded".to_owned(),
        ));
    }
    Ok(())
}

fn check_dynamic(
    segments: &[ProgramHeader64<Endianness>],
    endian: Endianness,
    bytes: &[u8],
) -> Result<(), LibraryError> {
    for segment in segments {
        let Some(entries) = segment.dynamic(endian, bytes).map_err(damaged)? else {
            continue;
        };
        for entry in entries {
            let value = entry.val(endian);
            match entry.tag(endian) {
                elf::DT_NULL => break,
                elf::DT_FLAGS if value & elf::DF_STATIC_TLS.0 != 0 => {
                    return Err(LibraryError::StaticTls);
                }
                elf::DT_FLAGS_1 if value & elf::DF_1_PIE.0 != 0 => {
                    return Err(LibraryError::NotShared("a program"));
                }
                _ => {}
            }
        }
        return Ok(());
    }
    Err(LibraryError::Damaged(
        "it has no dynamic segment".to_owned(),
    ))
}

fn manifest(header: &Header, endian: Endianness, bytes: &[u8]) -> Result<Manifest, LibraryError> {
    let sections = header.sections(endian, bytes).map_err(damaged)?;
    let (_, section): (_, &SectionHeader64<Endianness>) = sections
        .section_by_name(endian, SECTION)
        .ok_or(LibraryError::NotAPlugin)?;
    let (offset, length) = section.file_range(endian).ok_or(LibraryError::NotAPlugin)?;
    check_range(offset, length, bytes)?;
    let text = section.data(endian, bytes).map_err(damaged)?;
    if text.len() > LONGEST_MANIFEST {
        return Err(LibraryError::Damaged(
            "what it says of itself is too long".to_owned(),
        ));
    }
    serde_json::from_slice(text).map_err(LibraryError::Manifest)
}

fn check_range(offset: u64, length: u64, bytes: &[u8]) -> Result<(), LibraryError> {
    match offset.checked_add(length) {
        Some(end) if end <= bytes.len() as u64 => Ok(()),
        Some(end) => Err(truncated(end, bytes)),
        None => Err(LibraryError::Damaged(
            "it points beyond every file".to_owned(),
        )),
    }
}

fn truncated(needed: u64, bytes: &[u8]) -> LibraryError {
    LibraryError::Truncated {
        needed,
        found: bytes.len() as u64,
    }
}

fn damaged(error: object::read::Error) -> LibraryError {
    LibraryError::Damaged(error.to_string())
}
