//! What operators may do: used by the command line now and the dashboard later. Each deed writes its audit row with
//! actor `operator`.
