--! uses job, ends, schedules
-- The ledger of ticks.
--
-- {name}:ticks:<schedule>  zset  due -> JSON array of due, fate, reason, job, until, written at, state, ended at: all
--                                text, '' for nothing. Of an older version: "<due> <job>".
-- {name}:ledgers           set   the schedules that have ticks
-- {name}:open              hash  id of a job -> "<due> <schedule>" of its tick, which is not closed
-- {name}:open:<schedule>   zset  due -> id of such a job
-- {name}:turns             set   schedules with ticks that wait for their turn
-- {name}:turns:<schedule>  zset  due -> due of these
-- {name}:filed             zset  since when nothing changes any more -> "<due> <schedule>" of ticks to be archived

local DUE, FATE, REASON, JOB, UNTIL, WRITTEN, STATE, ENDED_AT = 1, 2, 3, 4, 5, 6, 7, 8

local function tick_of(member)
    if string.sub(member, 1, 1) == '[' then
        return cjson.decode(member)
    end
    local due, job = string.match(member, '^(%S+) (.*)$')
    return {due, 'enqueued', '', job, '', due, 'forgotten', due}
end

-- The tick of a due time, and how it is stored; nil when there is none.
local function tick_at(schedule, due)
    local member = redis.call('ZRANGEBYSCORE', key('ticks', schedule), due, due)[1]
    return member and tick_of(member), member
end

-- So many ticks that are over are remembered for an archive, should there be one.
local MOST_FILED = 10000

-- Whether nothing will change any more.
local function is_final(tick)
    return tick[FATE] ~= 'waiting' and (tick[FATE] ~= 'enqueued' or tick[STATE] ~= '')
end

local function filed_as(schedule, tick)
    return tick[DUE] .. ' ' .. schedule
end

-- Write a tick, in the place of what was stored of it before.
local function write_tick(schedule, tick, before)
    if before then
        redis.call('ZREM', key('ticks', schedule), before)
    end
    redis.call('ZADD', key('ticks', schedule), tick[DUE], cjson.encode(tick))
    redis.call('SADD', key('ledgers'), schedule)
    if is_final(tick) then
        redis.call('ZADD', key('filed'), now(), filed_as(schedule, tick))
        redis.call('ZREMRANGEBYRANK', key('filed'), 0, -MOST_FILED - 1)
    elseif tick[FATE] == 'enqueued' then
        redis.call('HSET', key('open'), tick[JOB], filed_as(schedule, tick))
        redis.call('ZADD', key('open', schedule), tick[DUE], tick[JOB])
    else
        redis.call('SADD', key('turns'), schedule)
        redis.call('ZADD', key('turns', schedule), tick[DUE], tick[DUE])
    end
end

-- A tick does not wait any more.
local function leave_turns(schedule, due)
    redis.call('ZREMRANGEBYSCORE', key('turns', schedule), due, due)
    if redis.call('EXISTS', key('turns', schedule)) == 0 then
        redis.call('SREM', key('turns'), schedule)
    end
end

-- Those of some jobs that there are and that have not ended: id -> true.
local function unfinished_among(ids)
    local ended, unfinished = {}, {}
    for _, of_state in pairs(ended_among(ids)) do
        for _, id in ipairs(of_state) do
            ended[id] = true
        end
    end
    for _, id in ipairs(ids) do
        if not ended[id] and redis.call('HEXISTS', key('jobs'), id) == 1 then
            unfinished[id] = true
        end
    end
    return unfinished
end

-- Which job of a schedule has not ended, in words; nil when all have.
local function unfinished_of(schedule)
    local ids = redis.call('ZRANGE', key('open', schedule), 0, -1)
    local unfinished = #ids > 0 and unfinished_among(ids) or {}
    for _, id in ipairs(ids) do
        if unfinished[id] then
            return 'job ' .. id .. ' is ' .. locate(id)
        end
    end
    return nil
end

-- How the job of a tick ended, and when; its record may be gone.
local function end_of_tick(id)
    local kept = end_of(id) or ''
    local told = string.match(kept, '^[^\n]*') or ''
    local state = ended_as(id, try) or string.match(told, '"state":"(%a+)"') or 'forgotten'
    return state, string.match(told, '"finished_at":([%d.e+]+)') or now()
end

-- The tick of a job that lives again is not over any more. `head` is that of its record.
local function reopen_tick_of(id, head)
    local schedule = head[9] == 'schedule' and head[8]
    for _, member in ipairs(schedule and redis.call('ZREVRANGE', key('ticks', schedule), 0, -1) or {}) do
        local tick = tick_of(member)
        if tick[JOB] == id and is_final(tick) then
            tick[STATE], tick[ENDED_AT] = '', ''
            redis.call('ZREM', key('filed'), filed_as(schedule, tick))
            write_tick(schedule, tick, member)
        end
    end
end

-- Close the ticks of jobs that have ended or are gone; those that there are: schedule, tick, schedule, tick …
local function close_ticks_of(ids)
    local closed = {}
    if #ids == 0 or redis.call('EXISTS', key('open')) == 0 then
        return closed
    end
    for i, told in ipairs(read(key('open'), ids)) do
        if told then
            local due, schedule = string.match(told, '^(%S+) (.*)$')
            local tick, before = tick_at(schedule, due)
            redis.call('HDEL', key('open'), ids[i])
            redis.call('ZREM', key('open', schedule), ids[i])
            if tick then
                tick[STATE], tick[ENDED_AT] = end_of_tick(ids[i])
                write_tick(schedule, tick, before)
                closed[#closed + 1] = schedule
                closed[#closed + 1] = cjson.encode(tick)
                local last = of_schedule('succeeded_at', schedule)
                if tick[STATE] == 'succeeded' and of_schedule('seen', schedule)
                    and (not last or tonumber(last) < tonumber(tick[ENDED_AT])) then
                    set_of_schedule('succeeded_at', schedule, tick[ENDED_AT])
                end
            end
        end
    end
    return closed
end
