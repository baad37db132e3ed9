//! The peer on the Rust SDK: picks by weight (sticky by session cookie, else by a phase), sets x-ballast-target.
//! Configuration, one word per line: `service header` or `service fixed NAME`, `session on` or `session off`,
//! `table SERVICE CLUSTER:SLOTS CLUSTER:SLOTS …` with slots that sum to 1024.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

const SLOTS: usize = 1024;

struct Table {
    names: Vec<String>,
    slots: [u8; SLOTS],
    phase: Cell<usize>,
}

struct Config {
    fixed_service: Option<String>,
    session: bool,
    tables: HashMap<String, Table>,
}

fn parse(text: &str) -> Option<Config> {
    let mut config = Config { fixed_service: None, session: false, tables: HashMap::new() };
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["service", "header"] => {}
            ["service", "fixed", name] => config.fixed_service = Some(name.to_string()),
            ["session", mode] => config.session = *mode == "on",
            ["table", service, targets @ ..] => {
                config.tables.insert(service.to_string(), build(targets)?);
            }
            [] => {}
            _ => return None,
        }
    }
    Some(config)
}

/// Spreads each target's slots over the table by a stride that is coprime to its length.
fn build(targets: &[&str]) -> Option<Table> {
    let mut table = Table { names: Vec::new(), slots: [0; SLOTS], phase: Cell::new(0) };
    let mut at = 0;
    for (index, target) in targets.iter().enumerate() {
        let (name, count) = target.split_once(':')?;
        table.names.push(name.to_string());
        for _ in 0..count.parse::<usize>().ok()? {
            table.slots[at * 633 % SLOTS] = index as u8;
            at += 1;
        }
    }
    (at == SLOTS).then_some(table)
}

fn session_of(cookie: &str) -> Option<&str> {
    cookie.split(';').find_map(|part| part.trim_start().strip_prefix("sid="))
}

fn fnv1a(key: &str) -> u64 {
    key.bytes().fold(0xcbf29ce484222325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { config: None }));
}}

struct Root {
    config: Option<Rc<Config>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        self.config = String::from_utf8(bytes).ok().and_then(|text| parse(&text)).map(Rc::new);
        self.config.is_some()
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Steer { config: Rc::clone(self.config.as_ref()?) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Steer {
    config: Rc<Config>,
}

impl Context for Steer {}

impl HttpContext for Steer {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let table = match &self.config.fixed_service {
            Some(name) => self.config.tables.get(name),
            None => match self.get_http_request_header("x-service") {
                Some(name) => self.config.tables.get(&name),
                None => None,
            },
        };
        let Some(table) = table else { return Action::Continue };
        let cookie = if self.config.session { self.get_http_request_header("cookie") } else { None };
        let slot = match cookie.as_deref().and_then(session_of) {
            Some(key) => (fnv1a(key) >> 54) as usize,
            None => {
                let phase = table.phase.get();
                table.phase.set(phase.wrapping_add(1));
                phase % SLOTS
            }
        };
        let target = &table.names[usize::from(table.slots[slot])];
        self.set_http_request_header("x-ballast-target", Some(target));
        Action::Continue
    }
}
