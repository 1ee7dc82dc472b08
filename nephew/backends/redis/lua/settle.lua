--! uses job, moves, ends, store, events, settling
-- End claims: each whole or not at all, and only where the claim still holds.
--
-- ARGV: worker, number of this settle, most events kept, most records kept, seconds that ends of jobs that
-- succeeded are kept and of others ('': for ever), how many claims; for each place, id, claim, how (`own`: the
-- function itself came to this end; `end`; `again`; `back`; `park`), state, body, event; then what else is to be
-- done: which claim, what, how many values, the values (see `also`).
-- The body of an end is what is kept of it (see lib/ends.lua), of the others a JSON object: `eta`, `counted`,
-- `error`, `fingerprint`, `reason`.
-- Returns 1 if the worker is known; of each claim that was lost its number, and the worker and claim that have the job
-- instead ('': none has); the ids that were enqueued; and number and reason of the claims whose end somebody had asked
-- for. The reply is kept in `settled` and given again
-- when the settle is repeated.
-- Reads workers, followed; writes settled, held:<worker>, running, once, stops, expiring, jobs, marks, retrying,
-- ended:<state>, slots, ends:<slot>, order, attempts:<id>, logs:<id>, interim, chord:<chord>, callbacks, revoked,
-- event, events, awaited, expected, told:<id> and what enqueue.lua writes; tells `wake` and `ended`.

local worker, number = ARGV[1], ARGV[2]
local most_events, most_records, ttl, ttl_others = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local count, WIDTH = tonumber(ARGV[7]), 7

local claims, ids = {}, {}
for i = 1, count do
    local first = 8 + (i - 1) * WIDTH
    claims[i] = {
        place = ARGV[first], id = ARGV[first + 1], claim = ARGV[first + 2], how = ARGV[first + 3],
        state = ARGV[first + 4], body = ARGV[first + 5], event = ARGV[first + 6],
    }
    ids[i] = claims[i].id
end

-- Who has a job instead of a claim that was lost: holds it, or held it when it ended.
local function taken_over_by(id)
    local its, claim = holder(id)
    if not its and ended_as(id) then
        its, claim = string.match(end_of(id) or '', '^[^\n]*"by":%[(%d+),(%d+)%]')
    end
    return its or '', claim or ''
end

local lost = {}
local function lose(i)
    lost[#lost + 1] = i - 1
    lost[#lost + 1], lost[#lost + 2] = taken_over_by(ids[i])
end

local function all_lost(known)
    for i = 1, count do
        lose(i)
    end
    return {known, lost, {}, {}}
end

if redis.call('HEXISTS', key('workers'), worker) == 0 then
    return all_lost(0)
end
local before = redis.call('HGET', key('settled'), worker)
if before then
    local last, reply = string.match(before, '^(%d+)\n(.*)$')
    if last == number then
        return reply == '' and {1, {}, {}, {}} or cmsgpack.unpack(reply)
    elseif tonumber(last) > tonumber(number) then
        return all_lost(1)
    end
end

-- What holds ------------------------------------------------------------------------------------------------------
local holds = count > 0 and read(key('held', worker), ids) or {}
local stops = count > 0 and redis.call('EXISTS', key('stops')) == 1 and read(key('stops'), ids, try) or {}
local kept, stopped, kept_ids, seen = {}, {}, {}, {}
for i, each in ipairs(claims) do
    if holds[i] ~= each.claim then
        lose(i)
    elseif not seen[each.id] then  -- of two ends of a claim the first counts
        seen[each.id] = true
        if stops[i] and each.how == 'own' then
            stopped[#stopped + 1] = i - 1
            stopped[#stopped + 1] = stops[i]
        else
            each.stop = stops[i]
            kept[i] = each
            kept_ids[#kept_ids + 1] = each.id
        end
    end
end

-- The claims that end -----------------------------------------------------------------------------------------------
local moment = now()
local events, ended, order, ends = {}, {}, {}, {}

local function since_of(id)
    return try('HGET', key('running'), id)
end

-- What is asked for beside the ends, before anything is forgotten that it needs.
local also = {}
local at = 8 + count * WIDTH
while at <= #ARGV do
    local which, what, values = tonumber(ARGV[at]) + 1, ARGV[at + 1], tonumber(ARGV[at + 2])
    if kept[which] then
        also[#also + 1] = {claim = kept[which], what = what, first = at + 3}
        if what == 'since' then
            kept[which].since = since_of(kept[which].id)
        elseif what == 'attempt' and ARGV[at + 3] == '' then
            kept[which].began = since_of(kept[which].id)
        end
    end
    at = at + 3 + values
end

need_for_ends(ttl, ttl_others)
if #also > 0 then
    redis.call('HLEN', key('unique'))
    redis.call('SCARD', key('queues'))
    need_number('place')
end

local function note_end(place, id, state, body)
    local kind = state == 'succeeded' and 's' or 'o'
    ends[kind] = ends[kind] or {}
    ended[state] = ended[state] or {}
    ends[kind][#ends[kind] + 1] = id
    ends[kind][#ends[kind] + 1] = body
    ended[state][#ended[state] + 1] = place
    ended[state][#ended[state] + 1] = id
    order[#order + 1] = id
end

local function count_attempt(marks, counted)
    if counted then
        marks.attempts = tostring((tonumber(marks.attempts) or 0) + 1)
    end
end

local function given_back(each)
    local marks, how = marks_of(each.id), cjson.decode(each.body)
    marks.was = nil
    count_attempt(marks, how.counted)
    marks.eta = how.eta or marks.eta
    write_marks(each.id, marks)
    wait_as(each.id, each.state)
end

local function parked(each)
    local marks = marks_of(each.id)
    marks.was, marks.reason = nil, cjson.decode(each.body).reason
    write_marks(each.id, marks)
    wait_as(each.id, 'parked')
end

-- The next attempt: at the back, with another payload, which comes with what else is to be done.
local function again(each)
    local how, marks = cjson.decode(each.body), marks_of(each.id)
    local _, queue, priority = standing(each.id)
    local place = string.format('%.0f', advance('place', 1))
    local enqueued, head = string.match(redis.call('HGET', key('jobs'), each.id), '^%d+ ([%d.]+)\n([^\n]*)\n')
    redis.call('HSET', key('jobs'), each.id, place .. ' ' .. enqueued .. '\n' .. head .. '\n' .. each.payload)
    count_attempt(marks, how.counted)
    marks.was, marks.progress, marks.message = nil, nil, nil
    marks.error, marks.fingerprint, marks.eta = how.error, how.fingerprint, how.eta or '-'
    marks.alone = tonumber(marks.crashes or 0) > 0 or nil
    marks.chord = false  -- its values are in the payload now
    write_marks(each.id, marks)
    -- One whose end was asked for meanwhile does not wait for its next attempt: whoever claims it ends it.
    if how.eta and tonumber(how.eta) > tonumber(moment) and not each.stop then
        wait_until(how.eta, each.state, each.id)
    else
        line_up(each.id, tonumber(place), queue, priority)
    end
end

-- A step of a pipeline that will not run: it comes in and ends at once.
local function never(first)
    local id, body, stored, parent, member, event = unpack(ARGV, first, first + 5)
    if redis.call('HEXISTS', key('jobs'), id) == 1 then
        return
    end
    local place = string.format('%.0f', advance('place', 1))
    redis.call('HSET', key('jobs'), id, place .. ' ' .. moment .. '\n' .. body)
    relate('kin', parent, id)
    relate('members', member, id)
    note_end(place, id, 'cancelled', '{"place":' .. place .. ',' .. string.sub(stored, 2))
    events[#events + 1] = event
end

local function attempt_of(each, first)
    local marks = marks_of(each.id)
    local total = tonumber(marks.attempts or 0)
    if (each.how == 'own' or each.how == 'end') and ARGV[first + 2] == '1' then
        total = total + 1  -- an end says itself whether it counts
    end
    marks.kept = true
    write_marks(each.id, marks)
    local began = ARGV[first] ~= '' and ARGV[first] or each.began or 'null'
    try('RPUSH', key('attempts', each.id), '[' .. total .. ',' .. began .. ',' .. ARGV[first + 1] .. ']')
end

local enqueued = {}
local function follow(jobs)
    for _, reply in ipairs(store(jobs)) do
        if reply[2] == 0 then
            enqueued[#enqueued + 1] = reply[1]
        end
    end
end

-- What else is to be done, by what it is called; `first` is where its values begin.
local FOLLOWS, RECORDS = {}, {}
function RECORDS.since(each)
    if each.since then
        local marks = marks_of(each.id)
        marks.started_at = each.since
        write_marks(each.id, marks)
    end
end
function RECORDS.interim(each, first)  -- the error of an attempt that is not the last
    local slot, over_at = slot_for('o', ttl_others, moment)
    drop_end(each.id)
    try('SADD', key('interim'), each.id)
    try('HSET', slot, each.id, '{}\n' .. ARGV[first])
    if over_at then
        redis.call('EXPIREAT', slot, over_at)
    end
end
function RECORDS.attempt(each, first)  -- began, the rest as JSON, whether it counts
    attempt_of(each, first)
end
function RECORDS.log(each, first)  -- attempt, JSON
    local marks = marks_of(each.id)
    marks.kept = true
    write_marks(each.id, marks)
    try('HSET', key('logs', each.id), ARGV[first], ARGV[first + 1])
end
function FOLLOWS.forget(_, first)  -- a revocation
    try('HDEL', key('revoked'), ARGV[first])
end
function FOLLOWS.done(_, first)  -- a chord whose values are not needed any more
    redis.call('UNLINK', key('chord', ARGV[first]))
end
function FOLLOWS.follow(_, first)  -- a job's values
    follow({job_from(ARGV, first)})
end
function FOLLOWS.never(_, first)  -- id, head and payload, end, parent, member, event
    never(first)
end
function FOLLOWS.chord(_, first)  -- chord, position, size, value, `job`, `never` or '', its values
    local chord, position, size, value, kind = unpack(ARGV, first, first + 4)
    if try('HSETNX', key('chord', chord), position, value) ~= 1 then
        return
    end
    if redis.call('HLEN', key('chord', chord)) == tonumber(size) then
        if kind == 'job' then
            local callback = ARGV[first + 5]
            if redis.call('HGET', key('callbacks'), callback) == chord then
                redis.call('HDEL', key('callbacks'), callback)  -- it runs again; the values are still its own
            end
            follow({job_from(ARGV, first + 5)})
            redis.call('HSET', key('callbacks'), callback, chord)
        elseif kind == 'never' then
            never(first + 5)
            redis.call('HSET', key('callbacks'), ARGV[first + 5], chord)
        end
    end
end

for _, task in ipairs(also) do
    if task.what == 'payload' then
        task.claim.payload = ARGV[task.first]
    elseif task.what == 'remember' then
        task.claim.remembers = true
    end
end
-- A claim that is given up is an event only where its job had begun.
for _, each in pairs(kept) do
    if each.how == 'back' and each.event == '' and since_of(each.id) then
        each.event = happened(each.id, each.state)
    end
end
many('HDEL', key('held', worker), kept_ids)
begun_no_longer(kept_ids)
local gone, next_attempts, forgotten = {}, {}, {}
for i = 1, count do
    local each = kept[i]
    if each then
        if each.event ~= '' then
            events[#events + 1] = each.event
        end
        if each.how == 'own' or each.how == 'end' then
            note_end(each.place, each.id, each.state, each.body)
            gone[#gone + 1] = each.id
        elseif each.how == 'again' then
            next_attempts[#next_attempts + 1] = each
        elseif each.how == 'park' then
            parked(each)
        else
            given_back(each)
        end
        if not each.remembers then
            forgotten[#forgotten + 1] = each.id
        end
    end
end
over(gone)
forget_revocations(forgotten)
-- What follows from an attempt is in the queue before the next attempt; what is recorded of it comes behind it.
for _, task in ipairs(also) do
    if FOLLOWS[task.what] then
        FOLLOWS[task.what](task.claim, task.first)
    end
end
for _, each in ipairs(next_attempts) do
    again(each)
end
for _, task in ipairs(also) do
    if RECORDS[task.what] then
        RECORDS[task.what](task.claim, task.first)
    end
end
write_ends(ends, ttl, ttl_others)
if #order > 0 then
    file(ended, order, most_records)
end
tell_events(events, most_events, moment)
tell_waiting(order)

local reply = {1, lost, enqueued, stopped}
local told = #lost + #enqueued + #stopped > 0
redis.call('HSET', key('settled'), worker, number .. '\n' .. (told and cmsgpack.pack(reply) or ''))
return reply
