//! SQL of the numbers that own pending deliveries.

/// Numbers that own pending deliveries: one index lookup for each, however many deliveries it owns.
macro_rules! owners {
    () => {
        "with recursive owners (number) as (
            (select owner from pending where owner > 0 order by owner limit 1)
            union all
            select (select p.owner from pending p where p.owner > o.number order by p.owner limit 1) from owners o
                where o.number is not null
        ), packed_owners (number) as (
            (select owner from packed_pending order by owner limit 1)
            union all
            select (select p.owner from packed_pending p where p.owner > o.number order by p.owner limit 1) from packed_owners o
                where o.number is not null
        ), all_owners (number) as (
            select number from owners where number is not null union select number from packed_owners where number is not null
        ) "
    };
}
pub(crate) use owners;
