use std::time::Instant;
fn ours(n: u32) -> f64 {
    let t = Instant::now();
    for i in 0..n {
        assert_eq!(latchwork::thread::spawn(move || i).join().unwrap(), i);
    }
    t.elapsed().as_secs_f64() / n as f64 * 1e6
}
fn std_(n: u32) -> f64 {
    let t = Instant::now();
    for i in 0..n {
        assert_eq!(std::thread::spawn(move || i).join().unwrap(), i);
    }
    t.elapsed().as_secs_f64() / n as f64 * 1e6
}
fn many(n: u32) -> (f64, f64) {
    let t = Instant::now();
    let h: Vec<_> = (0..n)
        .map(|i| latchwork::thread::spawn(move || i))
        .collect();
    for h in h {
        h.join().unwrap();
    }
    let a = t.elapsed().as_secs_f64();
    let t = Instant::now();
    let h: Vec<_> = (0..n).map(|i| std::thread::spawn(move || i)).collect();
    for h in h {
        h.join().unwrap();
    }
    let b = t.elapsed().as_secs_f64();
    (a / n as f64 * 1e6, b / n as f64 * 1e6)
}
fn main() {
    let mut a = vec![];
    let mut b = vec![];
    let mut c = vec![];
    let mut m = vec![];
    for _ in 0..60 {
        let x = ours(200);
        let y = std_(200);
        a.push(x);
        b.push(y);
        c.push(x / y);
        let (p, q) = many(50);
        m.push(p / q);
    }
    for v in [&mut a, &mut b, &mut c, &mut m] {
        v.sort_by(f64::total_cmp);
    }
    println!(
        "ours {:.1} us std {:.1} us ratio {:.3} (quartiles {:.3} {:.3}); fifty at once {:.3}",
        a[30], b[30], c[30], c[15], c[45], m[30]
    );
}
