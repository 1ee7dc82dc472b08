--! uses ticks, store
-- Ticks whose jobs are enqueued one at a time.

-- Which job keeps this one out, in words; nil: none does.
local function kept_out(job)
    local twin = job.unique ~= '' and redis.call('HGET', key('unique'), job.unique)
    if twin then
        return 'job ' .. twin .. ' has its unique key'
    end
    return unfinished_among({job.id})[job.id] and 'job ' .. job.id .. ' has its id' or nil
end

-- Enqueue the job of a tick and write the tick, in the place of what was stored of it; whether it was enqueued.
local function enqueue_tick(schedule, tick, job, before)
    local reason = kept_out(job)
    if reason then
        tick[FATE], tick[REASON] = 'skipped', reason
    else
        close_ticks_of({job.id})  -- of an ended job with this id
        store({job})
        tick[FATE], tick[JOB] = 'enqueued', job.id
    end
    write_tick(schedule, tick, before)
    return not reason
end
