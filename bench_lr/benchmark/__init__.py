"""The cohort engine measured side by side with what people would use in its place.

Workloads (`workloads`) are trained in several ways (`ways`, whose training functions are in
`peers`), each in fresh processes (`crew`). What comes out is a `record.Record`: written as JSON,
printed as a table, and drawn on a page.
"""
