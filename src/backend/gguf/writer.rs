//! Writes GGUF files for tests, whole ones and lying ones.

use std::path::PathBuf;

/// Writes GGUF files.
#[derive(Default, Clone)]
pub struct Writer {
    entries: Vec<u8>,
    count: u64,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Writer {
    fn key(mut self, key: &str, code: u32) -> Self {
        text(&mut self.entries, key);
        self.entries.extend(code.to_le_bytes());
        self.count += 1;
        self
    }
    pub fn text(self, key: &str, value: &str) -> Self {
        let mut new = self.key(key, 8);
        text(&mut new.entries, value);
        new
    }
    pub fn int(self, key: &str, value: u32) -> Self {
        let mut new = self.key(key, 4);
        new.entries.extend(value.to_le_bytes());
        new
    }
    pub fn float(self, key: &str, value: f32) -> Self {
        let mut new = self.key(key, 6);
        new.entries.extend(value.to_le_bytes());
        new
    }
    pub fn flag(self, key: &str, value: bool) -> Self {
        let mut new = self.key(key, 7);
        new.entries.push(u8::from(value));
        new
    }
    pub fn texts(self, key: &str, values: &[&str]) -> Self {
        let mut new = self.key(key, 9);
        new.entries.extend(8u32.to_le_bytes());
        new.entries.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|v| text(&mut new.entries, v));
        new
    }
    pub fn ints(self, key: &str, values: &[i32]) -> Self {
        let mut new = self.key(key, 9);
        new.entries.extend(5u32.to_le_bytes());
        new.entries.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|v| new.entries.extend(v.to_le_bytes()));
        new
    }
    pub fn floats(self, key: &str, values: &[f32]) -> Self {
        let mut new = self.key(key, 9);
        new.entries.extend(6u32.to_le_bytes());
        new.entries.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|v| new.entries.extend(v.to_le_bytes()));
        new
    }
    /// A tensor as its raw bytes.
    pub fn raw(mut self, name: &str, shape: &[usize], code: u32, bytes: Vec<u8>) -> Self {
        self.tensors.push((name.to_owned(), shape.to_vec(), code, bytes));
        self
    }
    /// A tensor of floats.
    pub fn tensor(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        self.raw(name, shape, 0, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.count.to_le_bytes());
        out.extend(&self.entries);
        let mut offset = 0u64;
        for (name, shape, code, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|n| out.extend((*n as u64).to_le_bytes()));
            out.extend(code.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (bytes.len() as u64).next_multiple_of(32);
        }
        for (_, _, _, bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(bytes);
        }
        out
    }
    /// Writes it into a folder that goes with the returned guard.
    pub fn file(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        std::fs::write(&path, self.bytes()).unwrap();
        (folder, path)
    }
}
