-- Control of schedules.
--
-- {name}:plan:<what>  hash    schedule -> its seen, since, definition, payload, added, paused_at, succeeded_at, lapse
--                              (see `ScheduleRow`); what there is not is left out
-- {name}:control      string  how often control has changed

local WHATS = {'seen', 'since', 'definition', 'payload', 'added', 'paused_at', 'succeeded_at', 'lapse'}

local function of_schedule(what, schedule)
    return redis.call('HGET', key('plan', what), schedule)
end

-- '' for nothing.
local function set_of_schedule(what, schedule, value)
    if value == '' then
        redis.call('HDEL', key('plan', what), schedule)
    else
        redis.call('HSET', key('plan', what), schedule, value)
    end
end

-- Have the schedulers look.
local function control_changed()
    redis.call('INCR', key('control'))
    tell_schedule()
end
