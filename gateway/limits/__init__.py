"""Rate limits: at most so many requests or tokens in any minute or hour (docs/limits.md).

`definitions` says what is limited, `windows` how it is counted, `shared` counts in Redis, `local` in this process,
`limiter` chooses between them, `verdict` is what they say, also to the caller.
"""
