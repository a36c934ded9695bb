#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/count.rs"]
mod count;

#[test]
fn honest() {
    for sealed in [blocks::full(), blocks::full_small(), blocks::idle(zklink::shape::NANO)] {
        let cs = blocks::check(&sealed);
        println!(
            "{} constraints, failures {:?}",
            cs.constraint_count(),
            cs.failures().iter().take(12).collect::<Vec<_>>()
        );
        println!("terms {:?}", cs.term_counts());
    }
    for shape in zklink::shape::shapes() {
        let t = std::time::Instant::now();
        let count = count::Count::of(shape);
        println!(
            "{} {} open {} signed {} queue {} close {} memory {} digest {} statement {} in {:?}",
            shape.name,
            count.total(),
            count.part("open"),
            count.part("signed"),
            count.part("queue"),
            count.part("close"),
            count.part("memory"),
            count.part("digest"),
            count.part("statement"),
            t.elapsed()
        );
    }
    let count = count::Count::of(&zklink::shape::shapes()[0]);
    println!(
        "slot {} sig {} words {}",
        count.part("signed/slot 1"),
        count.part("signed/slot 1/signature"),
        count.part("signed/slot 1/words")
    );
}
