--! uses ticks
-- Bring the keys of version 1 to version 2: each schedule is decided up to its latest tick.
--
-- ARGV: the version.
-- {name}:version    string  the version of the keys' layout
-- {name}:schedules  set     in version 1, the schedules that have ticks
-- Writes ticks:<schedule>, plan:<what>, ledgers.

for _, schedule in ipairs(redis.call('SMEMBERS', key('schedules'))) do
    local latest = redis.call('ZREVRANGE', key('ticks', schedule), 0, 0)[1]
    if latest then
        local due = tick_of(latest)[DUE]
        redis.call('HSETNX', key('plan', 'seen'), schedule, due)
        redis.call('HSETNX', key('plan', 'since'), schedule, due)
        redis.call('SADD', key('ledgers'), schedule)
    end
end
redis.call('DEL', key('schedules'))
redis.call('SET', key('version'), ARGV[1])
