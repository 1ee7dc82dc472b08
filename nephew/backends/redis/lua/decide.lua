--! uses job, ends, ticks, store
-- Write decisions on due times with the jobs that follow from them, each whole, where nobody has decided before.
--
-- ARGV: '1' if it may have been done before, else ''; the most ticks of a schedule that wait; why a tick of a paused
-- schedule is skipped; then for each decision schedule, seen, upto, overlap and how many ticks, and for each of these
-- due, fate, reason, until, '1' if it has a job and '' if not, and the job's values (see lib/store.lua).
-- Returns for each decision whether it was written, up to where it is decided, and due, fate and reason of its ticks.
-- Reads plan:<what>, ticks:<schedule>, open, turns, workers, held:<worker>, running, retrying; writes
-- ticks:<schedule>, ledgers, filed, open, turns, plan:<what> and what enqueue.lua writes; tells `wake`.

local again, most_waiting, paused = ARGV[1] == '1', tonumber(ARGV[2]), ARGV[3]

local decisions, names, at = {}, {}, 4
while at <= #ARGV do
    local each = {schedule = ARGV[at], seen = ARGV[at + 1], upto = ARGV[at + 2], overlap = ARGV[at + 3], ticks = {}}
    local count = tonumber(ARGV[at + 4])
    at = at + 5
    for i = 1, count do
        local tick = {ARGV[at], ARGV[at + 1], ARGV[at + 2], '', ARGV[at + 3], now(), '', ''}
        each.ticks[i] = {tick = tick, job = ARGV[at + 4] == '1' and job_from(ARGV, at + 5) or nil}
        at = at + 5 + (each.ticks[i].job and VALUES or 0)
    end
    decisions[#decisions + 1], names[#names + 1] = each, each.schedule
end

-- What is there already: all of it is looked at before anything is written ------------------------------------------
local standings = {}
local seen, paused_at = read(key('plan', 'seen'), names), read(key('plan', 'paused_at'), names)
for i, name in ipairs(names) do
    standings[name] = seen[i] and {seen = seen[i], paused = paused_at[i], written = {}}
end

local function is_current(decision)
    local standing = standings[decision.schedule]
    return standing and tonumber(standing.seen) == tonumber(decision.seen)
end

local ids, keys = {}, {}
local function look_up(decision)
    local schedule, standing = decision.schedule, standings[decision.schedule]
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('ticks', schedule), '(' .. decision.seen, '+inf')) do
        standing.written[tonumber(tick_of(member)[DUE])] = true
    end
    standing.unfinished = redis.call('ZCARD', key('open', schedule)) > 0 and decision.overlap ~= 'allow'
        and unfinished_of(schedule)
    standing.waiting = redis.call('ZCARD', key('turns', schedule))
    for _, each in ipairs(decision.ticks) do
        if each.job then
            ids[#ids + 1] = each.job.id
            keys[#keys + 1] = each.job.unique ~= '' and each.job.unique or nil
        end
    end
end

for _, decision in ipairs(decisions) do
    if is_current(decision) then
        look_up(decision)
    end
end
local taken_ids, taken_keys = unfinished_among(ids), {}
for i, id in ipairs(read(key('unique'), keys)) do
    taken_keys[keys[i]] = id or nil
end
redis.call('SCARD', key('ledgers'))
redis.call('SCARD', key('turns'))
redis.call('HLEN', key('open'))
redis.call('ZCARD', key('filed'))

-- What becomes of it --------------------------------------------------------------------------------------------------
local function twin_of(job)
    local twin = taken_keys[job.unique]
    if twin then
        return 'job ' .. twin .. ' has its unique key'
    elseif taken_ids[job.id] then
        return 'job ' .. job.id .. ' has its id'
    end
    taken_ids[job.id] = true
    if job.unique ~= '' then
        taken_keys[job.unique] = job.id
    end
    return nil
end

local function fate_of(job, overlap, standing)
    if standing.paused then
        return 'skipped', paused
    elseif overlap == 'skip' and standing.unfinished then
        return 'skipped', standing.unfinished
    elseif overlap == 'queue' and (standing.unfinished or standing.waiting > 0) then
        if standing.waiting >= most_waiting then
            return 'skipped', string.gsub(most_waiting, '(%d)(%d%d%d)$', '%1,%2') .. ' ticks wait already'
        end
        standing.waiting = standing.waiting + 1
        return 'waiting'
    end
    local twin = twin_of(job)
    if twin then
        return 'skipped', twin
    end
    standing.unfinished = standing.unfinished or 'job ' .. job.id .. ' is queued'
    return 'enqueued'
end

local jobs, rows, advanced, replies = {}, {}, {}, {}
local function judge(decision)
    local standing, reply = standings[decision.schedule], {1, decision.upto}
    standing.seen = decision.upto
    advanced[#advanced + 1] = decision.schedule
    advanced[#advanced + 1] = decision.upto
    for _, each in ipairs(decision.ticks) do
        local tick = each.tick
        if not standing.written[tonumber(tick[DUE])] then
            if each.job then
                local fate, reason = fate_of(each.job, decision.overlap, standing)
                tick[FATE], tick[REASON] = fate, reason or tick[REASON]
                if fate == 'enqueued' then
                    tick[JOB] = each.job.id
                    jobs[#jobs + 1] = each.job
                end
            end
            rows[#rows + 1] = {decision.schedule, tick}
            for _, value in ipairs({tick[DUE], tick[FATE], tick[REASON]}) do
                reply[#reply + 1] = value
            end
        end
    end
    return reply
end

-- After a lost reply: what has a job of this decision in the ledger was written by the first try.
local function first_reply(decision, standing)
    local reply, ours = {1, decision.upto}, false
    for _, each in ipairs(decision.ticks) do
        local tick = tick_at(decision.schedule, each.tick[DUE])
        if tick then
            ours = ours or (each.job and tick[JOB] == each.job.id)
            for _, value in ipairs({tick[DUE], tick[FATE], tick[REASON]}) do
                reply[#reply + 1] = value
            end
        end
    end
    return ours and reply or {0, standing.seen}
end

for i, decision in ipairs(decisions) do
    local standing = standings[decision.schedule]
    if is_current(decision) then
        replies[i] = judge(decision)
    elseif again and standing and tonumber(standing.seen) == tonumber(decision.upto) then
        replies[i] = first_reply(decision, standing)
    else
        replies[i] = {0, standing and standing.seen or decision.seen}
    end
end

-- All of it is written ------------------------------------------------------------------------------------------------
if #jobs > 0 then
    local its = {}
    for i, job in ipairs(jobs) do
        its[i] = job.id
    end
    close_ticks_of(its)  -- of ended jobs with these ids
    store(jobs)
end
for _, row in ipairs(rows) do
    write_tick(row[1], row[2])
end
many('HSET', key('plan', 'seen'), advanced)
return replies
