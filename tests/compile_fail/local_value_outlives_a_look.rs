//! What `with` shows is good as long as the function runs.

use latchwork::thread::Local;

static LOCAL: Local<String> = Local::with_init(String::new);

fn main() {
    let _: Option<&'static String> = LOCAL.with(|value| value);
}
