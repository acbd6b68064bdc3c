//! Behaviour of the bridge and the driver with sessions made for the purpose.

mod bridge_lines;
mod driver_loop;
mod toys;
